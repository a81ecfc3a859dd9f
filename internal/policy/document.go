package policy

import (
	"strconv"
	"strings"
)

// Document is a parsed policy document, ready for Evaluate. Parse has compiled its wildcards, variables, numbers,
// dates and address ranges. A Document never changes after Parse and is safe for concurrent use.
type Document struct {
	statements []statement
}

// statement is one statement of a document.
type statement struct {
	name        string // the Sid, or "#" and the position counted from 1
	deny        bool
	actions     []pattern // folded
	notAction   bool      // the actions are those of NotAction
	resources   []template
	notResource bool // the resources are those of NotResource
	conditions  []condition
}

// The versions of the policy language.
const (
	version2008 = "2008-10-17" // the default; has no variables
	version2012 = "2012-10-17"
)

// Parse reads an identity-based policy document. It is strict: it refuses a document if it does not understand every
// element, because such a document must not decide anything. Errors are Invalid faults with Subject PolicyDocument
// (IAM's MalformedPolicyDocument). They say where the mistake is and what was expected. Parse does not limit the size
// of a document, since the limit depends on where the document is kept.
func Parse(source string) (*Document, error) {
	root, err := readJSON(source)
	if err != nil {
		return nil, err
	}
	if root.kind != object {
		return nil, root.malformed("it must be an object with the elements Version and Statement.")
	}
	version := version2008
	var statements []node
	for _, m := range root.members {
		switch m.name {
		case "Version":
			if version, err = m.value.str(); err != nil {
				return nil, err
			}
			if version != version2008 && version != version2012 {
				return nil, m.value.malformed("the version %q does not exist; use %q.", version, version2012)
			}
		case "Id":
			if _, err := m.value.str(); err != nil {
				return nil, err
			}
		case "Statement":
			statements = m.value.oneOrMore()
		default:
			return nil, root.malformed("the element %q is not known; a document has Version, Id and Statement.", m.name)
		}
	}
	if len(statements) == 0 {
		return nil, root.malformed("it has no Statement.")
	}
	document := &Document{}
	sids := map[string]bool{}
	for i, n := range statements {
		s, sid, err := parseStatement(n, version == version2012)
		if err != nil {
			return nil, err
		}
		if sids[sid] && sid != "" {
			return nil, n.malformed("the Sid %q is there twice; it must be unique in the document.", sid)
		}
		sids[sid] = true
		if s.name = sid; sid == "" {
			s.name = "#" + strconv.Itoa(i+1)
		}
		document.statements = append(document.statements, s)
	}
	return document, nil
}

func parseStatement(n node, variables bool) (s statement, sid string, err error) {
	if n.kind != object {
		return s, "", n.malformed("a statement must be an object, not %s.", n.kind)
	}
	var effect, action, resource bool // seen
	for _, m := range n.members {
		switch m.name {
		case "Sid":
			sid, err = parseSid(m.value)
		case "Effect":
			effect = true
			s.deny, err = parseEffect(m.value)
		case "Action", "NotAction":
			if action {
				return s, "", n.malformed("a statement has either Action or NotAction, not both.")
			}
			action, s.notAction = true, m.name == "NotAction"
			s.actions, err = parseActions(m.value)
		case "Resource", "NotResource":
			if resource {
				return s, "", n.malformed("a statement has either Resource or NotResource, not both.")
			}
			resource, s.notResource = true, m.name == "NotResource"
			s.resources, err = parseResources(m.value, variables)
		case "Condition":
			s.conditions, err = parseConditions(m.value, variables)
		case "Principal", "NotPrincipal":
			err = n.malformed("%s is not for identity-based policies: the principal is whoever the policy is attached to. "+
				"Remove it.", m.name)
		default:
			err = n.malformed("the element %q is not known; a statement has Sid, Effect, Action or NotAction, "+
				"Resource or NotResource, and Condition.", m.name)
		}
		if err != nil {
			return s, "", err
		}
	}
	switch {
	case !effect:
		err = n.malformed("the statement has no Effect; it must be Allow or Deny.")
	case !action:
		err = n.malformed("the statement has neither Action nor NotAction.")
	case !resource:
		err = n.malformed("the statement has neither Resource nor NotResource.")
	}
	return s, sid, err
}

func parseSid(n node) (string, error) {
	sid, err := n.str()
	if err != nil {
		return "", err
	}
	for _, c := range []byte(sid) {
		if !isAlphanumeric(c) {
			return "", n.malformed("a Sid has letters and digits only, unlike %q.", sid)
		}
	}
	return sid, nil
}

func parseEffect(n node) (deny bool, err error) {
	switch effect, err := n.str(); {
	case err != nil:
		return false, err
	case effect == "Allow":
		return false, nil
	case effect == "Deny":
		return true, nil
	default:
		return false, n.malformed("it must be Allow or Deny, written so, and is %q.", effect)
	}
}

// parseActions reads "*" and names of the form vendor:name, with wildcards in the name.
func parseActions(n node) ([]pattern, error) {
	var actions []pattern
	for _, item := range n.oneOrMore() {
		action, err := item.str()
		if err != nil {
			return nil, err
		}
		vendor, name, found := strings.Cut(action, ":")
		if action != "*" && (!found || (vendor != "*" && !isName(vendor, "-")) || !isName(name, "*?")) {
			return nil, item.malformed("the action %q must be * or of the form vendor:name, as in ec2:DescribeInstances.",
				action)
		}
		compiled, err := parseTemplate(Fold(action), syntax{wildcards: true})
		if err != nil {
			return nil, item.malformed("%v.", err)
		}
		actions = append(actions, compiled.pieces)
	}
	if len(actions) == 0 {
		return nil, n.malformed("the list is empty.")
	}
	return actions, nil
}

// parseResources reads "*" and ARNs. Wildcards and variables may follow "arn:" anywhere.
func parseResources(n node, variables bool) ([]template, error) {
	var resources []template
	for _, item := range n.oneOrMore() {
		resource, err := item.str()
		if err != nil {
			return nil, err
		}
		isARN := strings.HasPrefix(resource, "arn:") && (strings.Count(resource, ":") >= 5 || strings.Contains(resource, "*"))
		if resource != "*" && !isARN {
			return nil, item.malformed("the resource %q must be * or an ARN, as in arn:aws:ec2:*:*:instance/*.", resource)
		}
		compiled, err := parseTemplate(resource, syntax{wildcards: true, variables: variables})
		if err != nil {
			return nil, item.malformed("%v.", err)
		}
		resources = append(resources, compiled)
	}
	if len(resources) == 0 {
		return nil, n.malformed("the list is empty.")
	}
	return resources, nil
}

// isName reports whether s is not empty and has only letters, digits and the given punctuation.
func isName(s, punctuation string) bool {
	for _, c := range []byte(s) {
		if !isAlphanumeric(c) && strings.IndexByte(punctuation, c) < 0 {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
