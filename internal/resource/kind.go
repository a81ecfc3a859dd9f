// Package resource keeps what EC2 and the services like it have as documents of a kind, with all that they have in
// common: ids, ARNs and error codes, tags, claims, references, and the filters by which they are described.
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

// Kind is a kind of resource. All that depends on the kind alone is said here, once.
type Kind struct {
	Name   string // in ARNs, tags and filters: "instance"
	Prefix string // of ids: "i-"
	Type   string // in the trail, in CloudFormation's words: "AWS::EC2::Instance"
	Noun   string // what EC2's errors call it: "instance"
	// Subject is what faults about the kind are about. Code begins EC2's error codes about an id, "InvalidInstanceID", and
	// State is the code for a wrong state.
	Subject     fault.Subject
	Code, State string
	// Lingers is how long one that ended can still be described; 0 for a kind that is gone at once.
	Lingers time.Duration
}

// Instance is a machine one can connect to.
var Instance = Kind{
	Name: "instance", Prefix: "i-", Type: "AWS::EC2::Instance", Noun: "instance",
	Subject: fault.Instance, Code: "InvalidInstanceID", State: "IncorrectInstanceState", Lingers: time.Hour,
}

// kinds are all kinds. Every one can be tagged.
var kinds = []Kind{Instance}

// Of returns the kind that the id is of, by its form. ok is false for what is no id.
func Of(id string) (kind Kind, ok bool) {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Valid(id) })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}

// digits follow the prefix of an id: 17 hex digits or, as before 2016, 8.
var digits = regexp.MustCompile(`^[0-9a-f]{8}([0-9a-f]{9})?$`)

// Valid reports whether the text has the form of an id of the kind.
func (k Kind) Valid(id string) bool {
	rest, ok := strings.CutPrefix(id, k.Prefix)
	return ok && digits.MatchString(rest)
}

// NewID returns an id: the prefix and 17 random hex digits.
func (k Kind) NewID(random io.Reader) string { return NewID(random, k.Prefix) }

// NewID returns the prefix and 17 random hex digits. It panics if randomness fails, as crypto/rand itself does.
func NewID(random io.Reader, prefix string) string {
	var b [9]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		panic(fmt.Sprintf("resource: no randomness: %v", err))
	}
	return prefix + hex.EncodeToString(b[:])[:17]
}

// ARN is the name by which policies know a resource of the kind.
func (k Kind) ARN(region, account, id string) string {
	return fmt.Sprintf("arn:aws:ec2:%s:%s:%s/%s", region, account, k.Name, id)
}

// NotFound is the fault for ids that name nothing, in EC2's words.
func (k Kind) NotFound(ids ...string) *fault.Error {
	f := fault.New(fault.NotFound, k.Subject, "The %s ID '%s' does not exist", k.Noun, strings.Join(ids, ", "))
	if len(ids) > 1 {
		f.Message = fmt.Sprintf("The %s IDs '%s' do not exist", k.Noun, strings.Join(ids, ", "))
	}
	f.Code = k.Code + ".NotFound"
	return f
}

// Malformed is the fault for what is no id of the kind. It does not repeat a text that is longer than an id can be:
// people paste secrets into the wrong field.
func (k Kind) Malformed(id string) *fault.Error {
	f := fault.New(fault.Invalid, k.Subject, "Invalid id: %q (expecting %s and 17 hex digits)", Shown(id), k.Prefix)
	f.Code = k.Code + ".Malformed"
	return f
}

// WrongState is the fault for a resource that is in the wrong state for what is asked of it.
func (k Kind) WrongState(format string, args ...any) *fault.Error {
	f := fault.New(fault.WrongState, k.Subject, format, args...)
	f.Code = k.State
	return f
}

// CheckIDs refuses what has not the form of an id of the kind, as EC2 does before it looks for it, and more ids than
// can be given at once.
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

// MaxIDs is how many ids a request may name.
const MaxIDs = 1000

func checkCount(ids []string) error {
	if len(ids) > MaxIDs {
		return fault.New(fault.Invalid, fault.IDs, "At most %d ids can be given at once; %d were.", MaxIDs, len(ids))
	}
	return nil
}

// Shown returns as much of a text that should be an id as an error may repeat.
func Shown(id string) string {
	const most = 40
	if runes := []rune(id); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return id
}
