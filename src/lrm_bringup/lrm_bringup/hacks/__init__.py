"""What ``lrm hack-test`` found: ``hack_test.json`` and ``hack_test.html``."""
