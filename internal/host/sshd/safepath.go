package sshd

import (
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host/safepath"
)

// CheckSafePath is safepath.Check with its error as a Denied fault.
func CheckSafePath(path string) error {
	if err := safepath.Check(path); err != nil {
		return fault.Wrap(err, fault.Denied, fault.Path, "%v", err)
	}
	return nil
}
