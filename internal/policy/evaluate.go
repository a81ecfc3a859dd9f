package policy

// EvaluateAll decides a request by several sets of policies. Every set must allow the request, and a Deny in any set
// denies it. Without a set the request is denied.
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

// Evaluate decides a request by the policies of one set. A Deny that applies overrides everything else. Otherwise an
// Allow that applies allows the request; without one it is denied. A request without an action or a resource is
// denied. Every request is denied if a policy has no Document, since what that policy denies is unknown.
//
// Evaluate takes time in proportion to the size of the policies and allocates almost nothing unless they use
// variables. It is safe for concurrent use if the Context is.
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

// applies reports whether the statement applies to the request, whose action is folded. When undecided, a Deny
// applies and an Allow does not.
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

// covers reports whether the request's resource is one of the statement's.
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
