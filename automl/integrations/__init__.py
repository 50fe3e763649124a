"""Trainers of other libraries, for training functions: a callback each, which reports to the trial and goes on from its checkpoint.

Each needs its library, which automl does not install by itself: ``pip install 'automl-lanes[lightning]'`` or
``'automl-lanes[huggingface]'``.
"""
