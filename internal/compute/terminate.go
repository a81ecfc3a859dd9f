package compute

import (
	"context"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
)

// StateChange is what an operation did to an instance's state.
type StateChange struct {
	ID       string
	Previous State
	Current  State
}

// Terminate un-enrolls hosts: live grants end, no further key can be pushed, and each host's agent is told to remove
// itself, now or when it next links. A host that is cut off at this moment keeps what it was given before, which
// ends by itself within a minute. All are terminated or, if one does not exist (NotFound
// "instance"), none. The changes come in the order of the ids. Terminating a terminated instance succeeds and changes
// nothing.
func (s *Service) Terminate(ctx context.Context, pass gate.Pass, ids []string) ([]StateChange, error) {
	if err := pass.Check(); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, fault.New(fault.Invalid, "parameters", "No instances specified")
	}
	instances, err := s.find(ctx, pass, ids)
	if err != nil {
		return nil, err
	}
	var changes []StateChange
	for _, instance := range instances {
		changes = append(changes, StateChange{ID: instance.ID, Previous: instance.State, Current: Terminated})
	}
	event := pass.Event(terminated(pass.RequestID(), changes))
	if err := s.store.TerminateInstances(ctx, sortedSet(ids), pass.Time(), event); err != nil {
		return nil, err
	}
	for _, change := range changes {
		if change.Previous != Terminated {
			s.links.Dismiss(context.WithoutCancel(ctx), change.ID)
		}
	}
	return changes, nil
}

// terminated is the response as CloudTrail writes it.
func terminated(requestID string, changes []StateChange) map[string]any {
	state := func(s State) map[string]any { return map[string]any{"code": s.Code(), "name": string(s)} }
	var items []any
	for _, c := range changes {
		items = append(items, map[string]any{"instanceId": c.ID, "previousState": state(c.Previous), "currentState": state(c.Current)})
	}
	return map[string]any{"requestId": requestID, "instancesSet": map[string]any{"items": items}}
}
