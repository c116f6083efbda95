"""Graphs for Google's Model Explorer: `snpe-tools view`, and an extension that Model Explorer loads by this name.

model-explorer --extensions=snpe_tools.inspection.viewer model.dlc
"""
