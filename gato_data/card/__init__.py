"""What a dataset folder says of itself to people and to hubs: a card, metadata in Croissant, a picture."""
