package host

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// LinkStatus is the state of an agent's link.
type LinkStatus struct {
	Linked bool      `json:"linked"`
	Since  time.Time `json:"since"`           // the machine's time of day
	Error  string    `json:"error,omitempty"` // why it is not linked, or why the last link ended
}

// AgentStatus is the state of a running agent.
type AgentStatus struct {
	Link     LinkStatus `json:"link"`
	Problems []string   `json:"problems,omitempty"` // sentences that say why pushed keys do not work, or soon will not
}

// linkStatus keeps the LinkStatus of a running agent. It is safe for concurrent use.
type linkStatus struct {
	now func() time.Time

	mu     sync.Mutex
	status LinkStatus
}

// set is the Changed function of a Link.
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

func (s *linkStatus) get() LinkStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// AskStatus asks the enrollment's agent for its status. It returns an error if no agent answers.
func AskStatus(config Config) (AgentStatus, error) {
	conn, err := net.DialTimeout("unix", config.Socket, lookTimeout)
	if err != nil {
		return AgentStatus{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(lookTimeout)); err != nil {
		return AgentStatus{}, err
	}
	if _, err := io.WriteString(conn, aboutStatus); err != nil {
		return AgentStatus{}, err
	}
	var status AgentStatus
	if err := json.NewDecoder(io.LimitReader(conn, maxStatus)).Decode(&status); err != nil {
		return AgentStatus{}, fmt.Errorf("read the agent's answer: %w", err)
	}
	return status, nil
}
