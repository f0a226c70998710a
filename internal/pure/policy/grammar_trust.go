package policy

import "strings"

// validateTrust checks the policy of a role. IAM reads it with another reader
// than the rest, which has other sentences.
func validateTrust(root node) error {
	for _, m := range root.members {
		switch m.name {
		case "Version":
			if m.value.text != "2012-10-17" && m.value.text != "2008-10-17" {
				return malformed("The policy must contain a valid version string")
			}
		case "Id", "Statement":
		default:
			return malformed("Unknown field " + m.name)
		}
	}
	statements := statementsOf(root)
	if len(statements) == 0 {
		return malformed("Could not parse the policy: Statement is empty!")
	}
	seen := map[string]bool{}
	for _, s := range statements {
		if err := trustStatement(s); err != nil {
			return err
		}
		sid := s.member("Sid").text
		if sid != "" && seen[sid] {
			return malformed("The Statement Ids in the policy are not unique")
		}
		seen[sid] = true
	}
	return nil
}

func trustStatement(s node) error {
	if s.kind != nodeObject {
		return malformed("Syntax error in policy.")
	}
	for _, m := range s.members {
		switch m.name {
		case "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Condition", "Resource", "NotResource":
		default:
			return malformed("Unknown field " + m.name)
		}
	}
	effect := s.member("Effect").text
	switch {
	case !s.has("Effect"):
		return malformed("Missing required field Effect")
	case effect != "Allow" && effect != "Deny":
		return malformed("Invalid effect: " + effect)
	case s.has("NotPrincipal") && effect == "Allow":
		return malformed("Allow with NotPrincipal is not allowed.")
	case s.has("NotPrincipal"):
		return malformed("AssumeRole policy must not contain NotPrincipal field.")
	}
	if err := trustPrincipal(s); err != nil {
		return err
	}
	if err := trustActions(s); err != nil {
		return err
	}
	switch {
	case s.has("Resource"):
		return malformed("Has prohibited field Resource")
	case s.has("NotResource"):
		return malformed("AssumeRole policy must not contain resources.")
	case s.has("Condition") && !conditionSyntax(s.member("Condition")):
		return malformed("Syntax error in policy.")
	}
	return nil
}

func trustPrincipal(s node) error {
	p := s.member("Principal")
	switch {
	case !s.has("Principal"):
		return malformed("Missing required field Principal")
	case p.kind == nodeString && p.text == "*":
		return malformed(`AssumeRolepolicy contained an invalid principal: "STAR":"*".`)
	case p.kind == nodeString:
		return malformed("Principal must be a JSON object.")
	case p.kind != nodeObject:
		return malformed("Syntax error in policy.")
	case len(p.members) == 0:
		return malformed("Missing required field Principal cannot be empty!")
	}
	for _, m := range p.members {
		if m.name != "AWS" && m.name != "Service" && m.name != "Federated" {
			return malformed(`Invalid principal in policy: "` + m.name + `"`)
		}
	}
	_, invalid, ok := parsePrincipals(p)
	switch {
	case !ok:
		return malformed("Syntax error in policy.")
	case invalid != "":
		return malformed("Invalid principal in policy: " + invalid)
	}
	return nil
}

func trustActions(s node) error {
	if !s.has("Action") && !s.has("NotAction") {
		return malformed("Missing required field Action")
	}
	if s.has("Action") && s.has("NotAction") {
		return malformed("Syntax error in policy.")
	}
	for _, name := range [...]string{"Action", "NotAction"} {
		values, ok := s.member(name).strings()
		switch {
		case !s.has(name):
			continue
		case !ok:
			return malformed("Syntax error in policy.")
		case len(values) == 0:
			return malformed("Missing required field Action")
		}
		for _, v := range values {
			if vendor, operation, _ := strings.Cut(v, ":"); !strings.EqualFold(vendor, "sts") || operation == "" {
				return malformed("AssumeRole policy may only specify STS AssumeRole actions.")
			}
		}
	}
	return nil
}
