"""Knowledge distillation as a plug-in for ESPnet's trainer. The only part of k2d that imports ESPnet."""
