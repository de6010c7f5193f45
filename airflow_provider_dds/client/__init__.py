"""From the settings of a connection to one answered call; all that knows the Alibaba Cloud SDK and the network."""
