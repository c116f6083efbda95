"""The ctypes binding to the QNN system and HTP libraries."""
