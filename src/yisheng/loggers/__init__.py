"""Write a training to other tools while it runs: TensorBoard, Visdom, the worst mistakes for the live page."""
