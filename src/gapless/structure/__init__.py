"""What trained networks look like: neural collapse, extreme points, tangent kernels."""
