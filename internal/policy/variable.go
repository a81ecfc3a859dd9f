package policy

import (
	"errors"
	"fmt"
	"strings"
)

// template is a pattern whose variables have not been replaced with values of the request. Without variables it is
// the pattern itself.
type template struct {
	pieces    pattern
	variables bool
}

// syntax says which characters of a text are special. All others stand for themselves.
type syntax struct {
	wildcards bool // * and ?
	variables bool // ${…}: variables, and ${*} ${?} ${$} for the characters themselves
}

// parseTemplate splits a text into pieces.
func parseTemplate(source string, syntax syntax) (template, error) {
	var t template
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			t.pieces = append(t.pieces, piece{kind: literal, text: plain.String()})
			plain.Reset()
		}
	}
	for rest := source; rest != ""; {
		switch {
		case syntax.variables && strings.HasPrefix(rest, "${"):
			p, after, err := parseVariable(rest)
			if err != nil {
				return template{}, err
			}
			if rest = after; p.kind == literal {
				plain.WriteString(p.text)
				continue
			}
			flush()
			t.pieces, t.variables = append(t.pieces, p), true
		case syntax.wildcards && rest[0] == '*':
			flush()
			if n := len(t.pieces); n == 0 || t.pieces[n-1].kind != anyRun {
				t.pieces = append(t.pieces, piece{kind: anyRun})
			}
			rest = rest[1:]
		case syntax.wildcards && rest[0] == '?':
			flush()
			t.pieces = append(t.pieces, piece{kind: anyOne})
			rest = rest[1:]
		default:
			plain.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	flush()
	return t, nil
}

// parseVariable reads the ${…} at the beginning of source.
func parseVariable(source string) (p piece, rest string, err error) {
	inside := source[len("${"):]
	for _, c := range []string{"*", "?", "$"} {
		if after, ok := strings.CutPrefix(inside, c+"}"); ok {
			return piece{kind: literal, text: c}, after, nil
		}
	}
	end := strings.IndexAny(inside, ",}")
	if end < 0 {
		return piece{}, "", errors.New("a variable ${… is not closed by }; write ${$} for a $ before {")
	}
	key := Fold(strings.Trim(inside[:end], " "))
	if !isKey(key) {
		return piece{}, "", fmt.Errorf("${%s is not a variable, which names a condition key as in ${aws:username}; "+
			"write ${$} for a $ before {", inside[:end])
	}
	p = piece{kind: variable, text: key}
	if inside[end] == '}' {
		return p, inside[end+1:], nil
	}
	quoted, ok := strings.CutPrefix(strings.TrimLeft(inside[end+1:], " "), "'")
	fallback, after, closed := strings.Cut(quoted, "'")
	after, ended := strings.CutPrefix(strings.TrimLeft(after, " "), "}")
	if !ok || !closed || !ended {
		return piece{}, "", fmt.Errorf("the default of the variable ${%s must be in single quotes and end the variable, "+
			"as in ${aws:username, 'nobody'}", inside[:end])
	}
	p.fallback, p.hasFallback = fallback, true
	return p, after, nil
}

// isKey reports whether the text can name a condition key: "vendor:name". The vendor may be the address of an
// identity provider, and the name may end in a slash and a tag's key.
func isKey(key string) bool {
	vendor, name, found := strings.Cut(key, ":")
	return found && name != "" && isName(vendor, "-._/") && !strings.ContainsAny(key, "${}")
}

// resolve replaces the variables with the request's values. It takes the values literally: a * in a value is not a
// wildcard. The pattern is valid only if the verdict is yes. The verdict is no if the request lacks a key that has no
// default. It is unsettled if a key has several values, since AWS does not say which one applies.
func (t template) resolve(context Context) (pattern, verdict) {
	if !t.variables {
		return t.pieces, yes
	}
	resolved, answer := make(pattern, len(t.pieces)), yes
	for i, p := range t.pieces {
		if p.kind == variable {
			value, found := p.value(context)
			answer = min(answer, found)
			p = piece{kind: literal, text: value}
		}
		resolved[i] = p
	}
	return resolved, answer
}

func (p piece) value(context Context) (string, verdict) {
	switch values, _ := context.Values(p.text); len(values) {
	case 0:
		return p.fallback, verdictOf(p.hasFallback)
	case 1:
		return values[0], yes
	}
	return "", unsettled
}

// matches resolves the template and reports whether it matches s. A template that does not resolve matches nothing.
func (t template) matches(s string, context Context) verdict {
	p, answer := t.resolve(context)
	if answer != yes {
		return answer
	}
	return verdictOf(p.matches(s))
}

// plain resolves a template without wildcards to its text.
func (t template) plain(context Context) (string, verdict) {
	p, answer := t.resolve(context)
	if answer != yes {
		return "", answer
	}
	if len(p) == 1 {
		return p[0].text, yes
	}
	var text strings.Builder
	for _, piece := range p {
		text.WriteString(piece.text)
	}
	return text.String(), yes
}
