package iam

// Cached returns how many principals are cached.
func Cached(s *Service) int {
	s.principals.mu.RLock()
	defer s.principals.mu.RUnlock()
	return len(s.principals.entries)
}

// Forget empties the cache, so that the next principal is read from the database.
func Forget(s *Service) { s.principals.drop() }
