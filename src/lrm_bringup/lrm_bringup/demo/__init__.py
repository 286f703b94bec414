"""The demo: measure the base policy, refine it from rewards, measure again, report. All but ``ros`` is pure."""
