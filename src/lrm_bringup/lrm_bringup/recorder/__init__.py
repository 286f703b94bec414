"""One MCAP bag per episode, with all topics and the message definitions inside.

Dependencies point one way::

    params, definitions, bag, recording, worker      pure: rosbags and lrm_core
        <-  mending                                        reads as every reader of bags, writes as a replay does
        <-  ros                                            discovery, raw subscriptions, diagnostics
"""
