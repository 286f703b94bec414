"""Vision-language reward model: pictures and a task sentence in, three rewards out (arXiv 2603.16065).

Dependencies point one way::

    model, prompts, parsing, readout, pipeline   pure: numpy and lrm_core
        <-  vlm                                  torch, transformers, peft
        <-  training, evaluation                 offline
        <-  ros                                  the only sub-package that imports rclpy
"""
