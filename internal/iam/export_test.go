package iam

// Cached is how many principals the service remembers.
func Cached(s *Service) int {
	s.principals.mu.RLock()
	defer s.principals.mu.RUnlock()
	return len(s.principals.entries)
}

// Forget makes the service read the next principal from the database.
func Forget(s *Service) { s.principals.drop() }
