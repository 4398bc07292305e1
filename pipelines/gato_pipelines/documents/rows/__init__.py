"""Tables of pictures with captions, questions or conversations, as data sets of the Hub and image folders hold them."""
