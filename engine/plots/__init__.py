"""What Open Pectus plots of a skid: which values share an axis, and from where to where each axis goes."""
