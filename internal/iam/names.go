package iam

import (
	"maps"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/fault"
)

// What IAM accepts, from its API reference.
var (
	nameForm = regexp.MustCompile(`^[\w+=,.@-]+$`)
	pathForm = regexp.MustCompile(`^/(?:[\x21-\x7e]*/)?$`)
	tagForm  = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
)

const (
	maxUserName    = 64
	maxOtherName   = 128 // of groups and policies
	maxPath        = 512
	maxTagKey      = 128
	maxTagValue    = 256
	maxDescription = 1000
)

// invalid is a fault about a parameter's value.
func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "parameter", format, args...)
}

func checkName(what, name string, limit int) error {
	if n := utf8.RuneCountInString(name); n == 0 || n > limit {
		return invalid("The %s name %q has %d characters. It must have between 1 and %d.", what, name, n, limit)
	}
	if !nameForm.MatchString(name) {
		return invalid("The %s name %q is not valid. It may contain letters, digits and _+=,.@- and nothing else.", what, name)
	}
	return nil
}

func checkUserName(name string) error  { return checkName("user", name, maxUserName) }
func checkGroupName(name string) error { return checkName("group", name, maxOtherName) }

// checkPath returns the path, "/" for none.
func checkPath(path string) (string, error) {
	if path == "" {
		return "/", nil
	}
	if len(path) > maxPath || !pathForm.MatchString(path) {
		return "", invalid("The path %q is not valid. It must begin and end with /, contain printable ASCII characters only, and have at most %d.", path, maxPath)
	}
	return path, nil
}

// checkPrefix returns the prefix of paths to list, "/" for none. It need not end with "/".
func checkPrefix(prefix string) (string, error) {
	if prefix == "" {
		return "/", nil
	}
	if len(prefix) > maxPath || !strings.HasPrefix(prefix, "/") {
		return "", invalid("The path prefix %q is not valid. It must begin with / and have at most %d characters.", prefix, maxPath)
	}
	return prefix, nil
}

// mergeTags returns old with the new tags set. Tag keys are compared without regard to case, and keep the
// spelling they first had.
func mergeTags(old, set map[string]string) (map[string]string, error) {
	merged := maps.Clone(old)
	if merged == nil {
		merged = map[string]string{}
	}
	seen := map[string]bool{}
	for key, value := range set {
		switch n := utf8.RuneCountInString(key); {
		case n == 0 || n > maxTagKey || !tagForm.MatchString(key):
			return nil, invalid("The tag key %q is not valid. It must have between 1 and %d characters: letters, digits, spaces and _.:/=+-@.", key, maxTagKey)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return nil, invalid("The tag key %q begins with aws:, which is reserved.", key)
		case utf8.RuneCountInString(value) > maxTagValue || !tagForm.MatchString(value):
			return nil, invalid("The value of the tag %q is not valid. It must have at most %d characters: letters, digits, spaces and _.:/=+-@.", key, maxTagValue)
		case seen[strings.ToLower(key)]:
			return nil, invalid("The tag key %q is given twice. Tag keys are compared without regard to case.", key)
		}
		seen[strings.ToLower(key)] = true
		if present, ok := findTag(merged, key); ok {
			key = present
		}
		merged[key] = value
	}
	if len(merged) > maxTags {
		return nil, fault.New(fault.Limit, "tag", "There would be %d tags. At most %d are possible.", len(merged), maxTags)
	}
	return merged, nil
}

// findTag returns the spelling in which the tags have the key.
func findTag(tags map[string]string, key string) (string, bool) {
	for present := range tags {
		if strings.EqualFold(present, key) {
			return present, true
		}
	}
	return "", false
}
