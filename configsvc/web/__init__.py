"""The HTTP door: the methods of the contract as REST, read from the descriptors."""
