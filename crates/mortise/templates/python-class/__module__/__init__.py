"""{{about}}"""
