// Package resource keeps the resources of EC2 and of services like it, as documents that each have a kind. It has what
// the kinds share: ids, ARNs, error codes, tags, claims, references, and filters.
package resource

import (
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
)

// Kind is a kind of resource. It says once all that depends on the kind alone.
type Kind struct {
	Name   string // in ARNs, tags and filters, such as "instance"
	Prefix string // of ids, such as "i-"
	Type   string // in the trail, named as in CloudFormation, such as "AWS::EC2::Instance"
	Noun   string // in EC2's error messages, such as "instance"
	// Subject is the subject of faults about the kind. Code is the beginning of EC2's error codes about an id, such as
	// "InvalidInstanceID". State is the error code for a wrong state.
	Subject     fault.Subject
	Code, State string
	// Lingers is how long a resource that ended can still be described; 0 for a kind that is deleted at once.
	Lingers time.Duration
}

// Instance is the kind of the machines that one can connect to.
var Instance = Kind{
	Name: "instance", Prefix: "i-", Type: "AWS::EC2::Instance", Noun: "instance",
	Subject: fault.Instance, Code: "InvalidInstanceID", State: "IncorrectInstanceState", Lingers: time.Hour,
}

// kinds are all kinds. Resources of every kind can be tagged.
var kinds = []Kind{Instance}

// Of returns the kind of the id, by the id's form. ok is false if the text is not an id.
func Of(id string) (kind Kind, ok bool) {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Valid(id) })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}

// digits are what follows the prefix in an id: 17 hex digits or, as before 2016, 8.
var digits = regexp.MustCompile(`^[0-9a-f]{8}([0-9a-f]{9})?$`)

// Valid reports whether the text has the form of an id of the kind.
func (k Kind) Valid(id string) bool {
	rest, ok := strings.CutPrefix(id, k.Prefix)
	return ok && digits.MatchString(rest)
}

// NewID returns a new id: the prefix and 17 random hex digits.
func (k Kind) NewID(random io.Reader) string { return NewID(random, k.Prefix) }

// NewID returns the prefix and 17 random hex digits. It panics if random fails, as crypto/rand does.
func NewID(random io.Reader, prefix string) string {
	var b [9]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		panic(fmt.Sprintf("resource: no randomness: %v", err))
	}
	return prefix + hex.EncodeToString(b[:])[:17]
}

// ARN returns the ARN that policies know a resource of the kind by.
func (k Kind) ARN(region, account, id string) string {
	return fmt.Sprintf("arn:aws:ec2:%s:%s:%s/%s", region, account, k.Name, id)
}

// NotFound returns the fault for ids that do not exist, with EC2's message.
func (k Kind) NotFound(ids ...string) *fault.Error {
	f := fault.New(fault.NotFound, k.Subject, "The %s ID '%s' does not exist", k.Noun, strings.Join(ids, ", "))
	if len(ids) > 1 {
		f.Message = fmt.Sprintf("The %s IDs '%s' do not exist", k.Noun, strings.Join(ids, ", "))
	}
	f.Code = k.Code + ".NotFound"
	return f
}

// Malformed returns the fault for a text that is not an id of the kind. It repeats no more of the text than the length
// of an id, because people paste secrets into the wrong field.
func (k Kind) Malformed(id string) *fault.Error {
	f := fault.New(fault.Invalid, k.Subject, "Invalid id: %q (expecting %s and 17 hex digits)", Shown(id), k.Prefix)
	f.Code = k.Code + ".Malformed"
	return f
}

// WrongState returns the fault for a request that a resource's state does not permit.
func (k Kind) WrongState(format string, args ...any) *fault.Error {
	f := fault.New(fault.WrongState, k.Subject, format, args...)
	f.Code = k.State
	return f
}

// CheckIDs returns an error if a text does not have the form of an id of the kind, as EC2 does before it looks for the
// id, or if there are more than MaxIDs.
func (k Kind) CheckIDs(ids []string) error {
	if err := checkCount(ids); err != nil {
		return err
	}
	for _, id := range ids {
		if !k.Valid(id) {
			return k.Malformed(id)
		}
	}
	return nil
}

// MaxIDs is the most ids that a request may name.
const MaxIDs = 1000

func checkCount(ids []string) error {
	if len(ids) > MaxIDs {
		return fault.New(fault.Invalid, fault.IDs, "At most %d ids can be given at once; %d were.", MaxIDs, len(ids))
	}
	return nil
}

// Shown returns as much of an alleged id as an error may repeat.
func Shown(id string) string {
	const most = 40
	if runes := []rune(id); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return id
}
