"""What every room shares: errors, files, processes, progress, SoCs, precisions, raw files, tensor specifications."""
