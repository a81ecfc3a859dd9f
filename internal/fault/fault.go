// Package fault is how the inner rooms say what went wrong. An Error has a Kind, the Subject it is
// about and a message fit for the caller; each edge (awsapi and its services) translates it, once, into the
// code and shape its own protocol uses.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what sort of failure an Error is. The zero Kind is Internal: an error nobody classified is never
// shown to a caller.
type Kind uint8

const (
	Internal        Kind = iota // our own fault: logged whole, shown to the caller without its text
	Invalid                     // a parameter has a value we cannot accept
	Missing                     // a required parameter is absent
	Unsupported                 // AWS has it, we refuse it by name
	NotFound                    // the named resource does not exist
	Exists                      // a resource of that name exists already
	InUse                       // something else still depends on the resource
	WrongState                  // the resource exists but is in the wrong state for this
	Limit                       // a quota would be exceeded
	Denied                      // the caller is known and may not do this
	Unauthenticated             // the caller is not who they claim to be
	Unavailable                 // the resource exists but cannot be reached now; trying again may help
	Throttled                   // too many calls; trying again later helps
)

// String returns the kind's name as it appears in logs.
func (k Kind) String() string {
	names := [...]string{"internal", "invalid", "missing", "unsupported", "not-found", "exists", "in-use", "wrong-state",
		"limit", "denied", "unauthenticated", "unavailable", "throttled"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Error is a failure with a public face.
type Error struct {
	Kind    Kind
	Subject Subject // what it is about
	Code    string  // the code of AWS's API, where the resource's kind decides it and not the service; usually empty
	Message string  // for the caller: what is wrong and what to do. Never holds a secret.
	Cause   error   // for the log only
}

// Error returns the public message followed by the cause; it is for logs. Edges send Message alone.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %v", e.Message, e.Cause)
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes an Error whose message is formatted as by fmt.Sprintf.
func New(kind Kind, subject Subject, format string, args ...any) *Error {
	return &Error{Kind: kind, Subject: subject, Message: fmt.Sprintf(format, args...)}
}

// Wrap is New with a cause, which is logged and never shown.
func Wrap(cause error, kind Kind, subject Subject, format string, args ...any) *Error {
	e := New(kind, subject, format, args...)
	e.Cause = cause
	return e
}

// Of returns the Error in err's chain, or an Internal one that hides err.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Message: "An internal error occurred. The server's log has the details under this request id.", Cause: err}
}

// Explain returns what a person may read who is at the machine where err happened: the public message of an Error, and
// the text of any other error, which no log has for them.
func Explain(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Message != "" {
		return e.Message
	}
	return err.Error()
}

// Is reports whether err's chain holds an Error of the kind.
func Is(err error, kind Kind) bool { return err != nil && Of(err).Kind == kind }
