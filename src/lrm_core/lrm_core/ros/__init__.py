"""What every node of this stack shares: quality of service, lifecycle, parameters, images, stamps, diagnostics.

The only part of ``lrm_core`` that imports rclpy.
"""
