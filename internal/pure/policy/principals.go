package policy

import (
	"slices"
	"strings"

	"moat/internal/pure/lazyregexp"
)

// principals is the compiled Principal or NotPrincipal of a statement.
type principals struct {
	everyone  bool
	accounts  []string
	arns      []string
	ids       []string
	services  []string
	federated []string
	other     []string // canonical users: never anyone of ours
}

func (ps *principals) match(p *Principal) grade {
	g := gradeNone
	switch p.Kind {
	case PrincipalService:
		if slices.Contains(ps.services, p.Service) {
			g = gradeDirect
		}
	case PrincipalFederated:
		if slices.Contains(ps.federated, p.Federated) {
			g = gradeDirect
		}
	case PrincipalRoot, PrincipalUser, PrincipalAssumedRole, PrincipalFederatedUser:
		g = ps.matchAccount(p)
	}
	if g < gradeEveryone && ps.everyone {
		return gradeEveryone
	}
	return g
}

// matchAccount grades a principal of an account.
func (ps *principals) matchAccount(p *Principal) grade {
	if p.ARN != "" && slices.Contains(ps.arns, p.ARN) || p.ID != "" && slices.Contains(ps.ids, p.ID) {
		return gradeDirect
	}
	ofAccount := p.Account != "" && slices.Contains(ps.accounts, p.Account)
	if p.Kind == PrincipalRoot && ofAccount {
		return gradeDirect
	}
	if arn, id := behind(p); arn != "" && slices.Contains(ps.arns, arn) || id != "" && slices.Contains(ps.ids, id) {
		return gradeBehind
	}
	if ofAccount {
		return gradeAccount
	}
	return gradeNone
}

// behind is the role or the user whose session a principal is.
func behind(p *Principal) (arn, id string) {
	switch p.Kind {
	case PrincipalAssumedRole:
		id, _, _ = strings.Cut(p.ID, ":")
		return p.RoleARN, id
	case PrincipalFederatedUser:
		return p.UserARN, p.UserID
	}
	return "", ""
}

// names reports whether any part of the principal's identity is listed, and
// whether all of it is: the session, its role, and the account; of a federated
// user its session and the account.
func (ps *principals) names(p *Principal) (any, wholly bool) {
	if ps.everyone {
		return true, true
	}
	if p.Kind != PrincipalUser && p.Kind != PrincipalAssumedRole && p.Kind != PrincipalFederatedUser {
		named := ps.match(p) != gradeNone
		return named, named
	}
	account := slices.Contains(ps.accounts, p.Account)
	self := slices.Contains(ps.arns, p.ARN) || slices.Contains(ps.ids, p.ID)
	other := self
	if arn, id := behind(p); arn != "" || id != "" {
		other = slices.Contains(ps.arns, arn) || slices.Contains(ps.ids, id)
	}
	return account || self || other, account && self && (other || p.Kind == PrincipalFederatedUser)
}

var (
	accountPattern = lazyregexp.New(`^[0-9]{12}$`)
	idPattern      = lazyregexp.New(`^A[A-Z]{3}[A-Z0-9]{12,}$`)
	principalARN   = lazyregexp.New(`^arn:aws[a-z-]*:(?:iam::[0-9]{12}:(?:root|(?:user|role)/[^*?]+)|sts::[0-9]{12}:(?:assumed-role/[^*?/]+/[^*?/]+|federated-user/[^*?]+))$`)
	servicePattern = lazyregexp.New(`^[a-z0-9.-]+\.(?:amazonaws\.com(?:\.cn)?|amazon\.com)$`)
)

// parsePrincipals reads the value of Principal or NotPrincipal. invalid names
// the first value that is not a principal, in the form of IAM's sentence.
func parsePrincipals(v node) (ps *principals, invalid string, ok bool) {
	ps = &principals{}
	if v.kind == nodeString {
		if v.text != "*" {
			return nil, "", false
		}
		ps.everyone = true
		return ps, "", true
	}
	if v.kind != nodeObject || len(v.members) == 0 {
		return nil, "", false
	}
	for _, m := range v.members {
		values, ok := m.value.strings()
		if !ok || len(values) == 0 {
			return nil, "", false
		}
		for _, value := range values {
			if !ps.add(m.name, value) {
				return nil, `"` + strings.ToUpper(m.name) + `":"` + value + `"`, true
			}
		}
	}
	return ps, "", true
}

func (ps *principals) add(kind, value string) bool {
	switch kind {
	case "AWS":
		return ps.addAWS(value)
	case "Service":
		ps.services = append(ps.services, value)
		return servicePattern.MatchString(value)
	case "Federated":
		ps.federated = append(ps.federated, value)
		return value != "" && !strings.ContainsAny(value, "*?")
	case "CanonicalUser":
		ps.other = append(ps.other, value)
		return value != ""
	}
	return false
}

func (ps *principals) addAWS(value string) bool {
	switch {
	case value == "*":
		ps.everyone = true
	case accountPattern.MatchString(value):
		ps.accounts = append(ps.accounts, value)
	case idPattern.MatchString(value):
		ps.ids = append(ps.ids, value)
	case !principalARN.MatchString(value):
		return false
	case strings.HasSuffix(value, ":root"):
		ps.accounts = append(ps.accounts, strings.Split(value, ":")[4])
	default:
		ps.arns = append(ps.arns, value)
	}
	return true
}

// pin replaces ARNs by unique ids.
func (ps *principals) pin(ids map[string]string) {
	ps.arns = slices.DeleteFunc(ps.arns, func(arn string) bool {
		id, ok := ids[arn]
		if ok {
			ps.ids = append(ps.ids, id)
		}
		return ok
	})
}
