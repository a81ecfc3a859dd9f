package host

import (
	"errors"
	"sync"
	"time"
)

// LinkStatus is how an agent's link is.
type LinkStatus struct {
	Linked bool      `json:"linked"`
	Since  time.Time `json:"since"`           // by the machine's clock
	Error  string    `json:"error,omitempty"` // why it is not linked, or was not the last time
}

// linkStatus keeps the LinkStatus of a running agent. It is safe for concurrent use.
type linkStatus struct {
	now func() time.Time

	mu     sync.Mutex
	status LinkStatus
}

// set is a Link's Changed.
func (s *linkStatus) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if linked := err == nil; linked != s.status.Linked || s.status.Since.IsZero() {
		s.status.Linked, s.status.Since = linked, s.now()
	}
	if err != nil {
		s.status.Error = err.Error()
	}
}

func (s *linkStatus) get() *LinkStatus {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.status
	return &status
}

// AskStatus asks the enrollment's agent how its link is. The error says that no agent answers.
func AskStatus(config Config) (LinkStatus, error) {
	a, err := ask(config.Socket, question{Status: true})
	if err != nil {
		return LinkStatus{}, err
	}
	if a.Status == nil {
		return LinkStatus{}, errors.New("the agent does not tell how its link is")
	}
	return *a.Status, nil
}
