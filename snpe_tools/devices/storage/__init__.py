"""What lies on a device: files that travel once, manifests, run folders."""
