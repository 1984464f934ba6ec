"""Models on a model hub with the interface of Hugging Face's: push a run, use a published one."""
