"""The learner: joins transitions with rewards, trains the residual, hands weights over. Its process is in ``ros``."""
