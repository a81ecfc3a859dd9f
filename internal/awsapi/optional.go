package awsapi

// Optional returns a pointer to the value, or nil for the zero value, which a response then omits.
func Optional[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}
