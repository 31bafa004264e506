"""The messages of Open Pectus, their bytes, and the channel that carries them. This room knows no other."""
