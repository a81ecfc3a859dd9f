package policy

// EvaluateAll decides by several sets of policies: each of them must allow the request, and a Deny in any decides
// against all. Without a set the answer is no.
func EvaluateAll(sets []Set, request Request) Decision {
	decision := Decision{Set: IdentityBased}
	for i, set := range sets {
		one := Evaluate(set.Policies, request)
		one.Set = set.Sort
		if one.Explicit {
			return one
		}
		if i == 0 || decision.Allowed {
			decision = one
		}
	}
	return decision
}

// Evaluate decides: a Deny that applies decides against everything else, otherwise an Allow that applies allows,
// otherwise the answer is no. A request without an action or a resource is denied, and so is any request if one
// of the policies has no Document, as nobody knows what that one would forbid.
//
// It takes time in proportion to the policies' size and allocates next to nothing, unless variables are used. It
// is safe for concurrent use as far as the Context is.
func Evaluate(policies []Policy, request Request) Decision {
	if request.Action == "" || request.Resource == "" {
		return Decision{}
	}
	if request.Context == nil {
		request.Context = Keys(nil)
	}
	request.Action = Fold(request.Action)
	var decision Decision
	for i := range policies {
		policy := &policies[i]
		if policy.Document == nil {
			return Decision{Explicit: true, Policy: policy.Name, Statement: "(unread)"}
		}
		for j := range policy.Document.statements {
			s := &policy.Document.statements[j]
			if (decision.Allowed && !s.deny) || !s.applies(&request) {
				continue
			}
			decision = Decision{Allowed: !s.deny, Explicit: s.deny, Policy: policy.Name, Statement: s.name}
			if s.deny {
				return decision
			}
		}
	}
	return decision
}

// applies tells whether the statement speaks about the request, in doubt to the caller's disadvantage. The request's
// action is folded.
func (s *statement) applies(request *Request) bool {
	needed := yes
	if s.deny {
		needed = unsettled
	}
	if matchesAny(s.actions, request.Action) == s.notAction || s.covers(request) < needed {
		return false
	}
	for i := range s.conditions {
		if s.conditions[i].evaluate(request.Context) < needed {
			return false
		}
	}
	return true
}

// covers tells whether the request's resource is one of the statement's.
func (s *statement) covers(request *Request) verdict {
	answer := no
	for i := 0; i < len(s.resources) && answer != yes; i++ {
		answer = max(answer, s.resources[i].matches(request.Resource, request.Context))
	}
	if s.notResource {
		return answer.not()
	}
	return answer
}
