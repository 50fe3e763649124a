"""Many trials in one training loop: lanes of one set of batched tensors. Nothing above the trainer knows of them."""
