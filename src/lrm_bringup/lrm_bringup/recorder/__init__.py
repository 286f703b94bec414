"""One MCAP bag per episode, with all topics and the message definitions inside.

Dependencies point one way::

    params, definitions, bag, mending, recording, worker   pure: rosbags and lrm_core
        <-  ros                                            discovery, raw subscriptions, diagnostics
"""
