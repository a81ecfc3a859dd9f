// Package fault defines the errors of the inner packages. An Error has a Kind, a Subject and a message for the
// caller. Each edge (awsapi and its services) translates it, once, into the code and the format of its protocol.
package fault

import (
	"errors"
	"fmt"
)

// Kind is the sort of a failure. The zero Kind is Internal, so that an error that was not classified is never
// shown to a caller.
type Kind uint8

const (
	Internal        Kind = iota // a failure of the server: logged in full, and hidden from the caller
	Invalid                     // a parameter has a value we cannot accept
	Missing                     // a required parameter is absent
	Unsupported                 // AWS has it, and it is refused here by name
	NotFound                    // the named resource does not exist
	Exists                      // a resource of that name exists already
	InUse                       // something else still depends on the resource
	WrongState                  // the resource exists but is in the wrong state for this
	Limit                       // a quota would be exceeded
	Denied                      // the caller is known, and is not allowed to do this
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

// Error is a failure with a message for the caller.
type Error struct {
	Kind    Kind
	Subject Subject // what it is about
	Code    string  // AWS's error code where the kind of a resource decides it, not the service; usually empty
	Message string  // for the caller: what is wrong and what to do. Never holds a secret.
	Cause   error   // for the log only
}

// Error returns the message and the cause, for logs. Edges send only Message.
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

// Wrap is like New, with a cause that is logged and never shown to the caller.
func Wrap(cause error, kind Kind, subject Subject, format string, args ...any) *Error {
	e := New(kind, subject, format, args...)
	e.Cause = cause
	return e
}

// Of returns the Error in err's chain. If there is none, it returns an Internal one that hides err.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	const message = "An internal error occurred. The server's log has the details under this request id."
	return &Error{Kind: Internal, Message: message, Cause: err}
}

// Explain returns the text of err for a person at the machine where it happened: the message of an Error, or the
// whole text of any other error, since no log has it for them.
func Explain(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Message != "" {
		return e.Message
	}
	return err.Error()
}

// Is reports whether err's chain holds an Error of the kind. An error without one is Internal.
func Is(err error, kind Kind) bool { return err != nil && Of(err).Kind == kind }
