package policy

import (
	"strings"

	"moat/internal/pure/lazyregexp"
)

// Use says what a document is for; each use has rules of its own.
type Use uint8

// The uses of a document.
const (
	IdentityPolicy Use = iota + 1 // of a user, group or role; managed; a boundary; a session
	TrustPolicy                   // of a role
	ResourcePolicy                // of anything else
)

// Validate says whether IAM takes a document for a use when it is written. What
// it refuses is an [*Error] whose text is IAM's sentence for the first mistake
// in the order in which IAM looks for them. How long a document may be is the
// caller's to say. Whatever Validate takes, [Parse] takes as well.
//
// The sentences come from recorded answers of AWS in public test suites: the
// identity-based ones from those of the moto project, the ones for trust
// policies from reports of CreateRole.
func Validate(use Use, doc []byte) error {
	if err := validate(use, doc); err != nil {
		return err
	}
	_, err := Parse("", doc)
	return err
}

// Check is [Validate] for a document that has been read.
func (d *Document) Check(use Use) error { return validate(use, d.text) }

func validate(use Use, doc []byte) error {
	root, err := readNode(doc)
	if use == TrustPolicy {
		if err != nil || root.kind != nodeObject {
			return malformed("This policy contains invalid Json")
		}
		return validateTrust(root)
	}
	if err != nil || root.kind != nodeObject {
		return errSyntax
	}
	statements, ok := syntax(root)
	if !ok {
		return errSyntax
	}
	var resource error
	for _, s := range statements {
		if !legacy(s) {
			return malformed("The policy failed legacy parsing")
		}
		for _, name := range [...]string{"Resource", "NotResource"} {
			values, _ := s.member(name).strings()
			for _, v := range values {
				if err := resourceForm(v); err == nil && !legacyResource(v) {
					return malformed("The policy failed legacy parsing")
				} else if resource == nil {
					resource = err
				}
			}
		}
	}
	if err := sids(statements, use); err != nil {
		return err
	}
	return elements(statements, use, resource)
}

// member returns the value of a name; of an absent one the kind is nodeOther.
func (n node) member(name string) node {
	for _, m := range n.members {
		if m.name == name {
			return m.value
		}
	}
	return node{}
}

func (n node) has(name string) bool {
	for _, m := range n.members {
		if m.name == name {
			return true
		}
	}
	return false
}

// statementsOf returns the statements of a document, one or many.
func statementsOf(root node) []node {
	switch n := root.member("Statement"); n.kind {
	case nodeObject:
		return []node{n}
	case nodeArray:
		return n.items
	}
	return nil
}

// syntax checks everything that is answered with "Syntax errors in policy."
func syntax(root node) (statements []node, ok bool) {
	for _, m := range root.members {
		switch m.name {
		case "Version":
			ok = m.value.text == "2012-10-17" || m.value.text == "2008-10-17"
		case "Id":
			ok = m.value.kind == nodeString
		default:
			ok = m.name == "Statement"
		}
		if !ok {
			return nil, false
		}
	}
	statements = statementsOf(root)
	for _, s := range statements {
		if !statementSyntax(s) {
			return nil, false
		}
	}
	return statements, len(statements) > 0
}

func statementSyntax(s node) bool {
	if s.kind != nodeObject {
		return false
	}
	for _, m := range s.members {
		ok := true
		switch m.name {
		case "Sid":
			ok = m.value.kind == nodeString
		case "Effect":
			ok = m.value.kind == nodeString && (strings.EqualFold(m.value.text, "Allow") || strings.EqualFold(m.value.text, "Deny"))
		case "Action", "NotAction", "Resource", "NotResource":
			_, ok = m.value.strings()
		case "Principal", "NotPrincipal":
			ok = m.value.kind == nodeObject || m.value.kind == nodeString
		case "Condition":
			ok = conditionSyntax(m.value)
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	for _, pair := range [...]string{"Action", "Resource", "Principal"} {
		if s.has(pair) && s.has("Not"+pair) {
			return false
		}
	}
	return s.has("Effect")
}

func conditionSyntax(v node) bool {
	if v.kind != nodeObject {
		return false
	}
	for _, operator := range v.members {
		if operator.value.kind != nodeObject || len(operator.value.members) > 0 && !knownOperator(operator.name) {
			return false
		}
		for _, key := range operator.value.members {
			if _, ok := key.value.strings(); !ok {
				return false
			}
		}
	}
	return true
}

func knownOperator(name string) bool {
	bare, _, ifExists := affixes(name)
	if bare == "Null" {
		return !ifExists
	}
	_, ok := operatorOf(bare)
	return ok
}

// legacy is IAM's older reader, which comes second and has one sentence for
// all: effects in the wrong case and dates that are none.
func legacy(s node) bool {
	if effect := s.member("Effect").text; effect != "Allow" && effect != "Deny" {
		return false
	}
	for _, operator := range s.member("Condition").members {
		if bare, _, _ := affixes(operator.name); !strings.HasPrefix(bare, "Date") {
			continue
		}
		for _, key := range operator.value.members {
			values, _ := key.value.strings()
			for _, v := range values {
				if _, ok := readDate(v); !ok {
					return false
				}
			}
		}
	}
	return true
}

// legacyResource is the same for resources of the right form: a service, and
// either all six fields or none left empty.
func legacyResource(r string) bool {
	if r == "*" {
		return true
	}
	fields := strings.Split(r, ":")
	return len(fields) > 2 && fields[2] != "" && (len(fields) >= 6 || !strings.Contains(r, "::"))
}

// resourceForm gives the sentence of a resource that is not an ARN.
func resourceForm(r string) error {
	if r == "*" {
		return nil
	}
	f := strings.SplitN(r, ":", 6)
	if len(f) == 1 {
		return malformed("Resource " + r + ` must be in ARN format or "*".`)
	}
	if !validPartition(f[1]) {
		shown := append([]string{"arn"}, f[1:]...)
		for len(shown) < 6 {
			shown = append(shown, "*")
		}
		return malformed(`Partition "` + f[1] + `" is not valid for resource "` + strings.Join(shown, ":") + `".`)
	}
	if len(f) == 2 {
		return malformed("Resource vendor must be fully qualified and cannot contain regexes.")
	}
	if f[0] != "arn" {
		return malformed("Resource " + r + ` must be in ARN format or "*".`)
	}
	region, path := "", ""
	if len(f) > 3 {
		region = f[3]
	}
	if len(f) == 6 {
		path = f[5]
	}
	switch {
	case region == "" || region == "*":
	case f[2] == "s3" && !strings.HasPrefix(path, "accesspoint/"):
		return malformed("Resource " + r + " can not contain region information.")
	case f[2] == "iam":
		return malformed("IAM resource " + r + " cannot contain region information.")
	}
	if f[2] == "iam" && len(f) == 6 && !iamPath.MatchString(path) {
		return malformed(`IAM resource path must either be "*", root, or start with user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/.`)
	}
	return nil
}

var iamPath = lazyregexp.New(`^(?:root$|(?:user|federated-user|role|group|instance-profile|mfa|server-certificate|policy|sms-mfa|saml-provider|oidc-provider|report|access-report)/|[a-z-]*[*?$])`)

var sidPattern = lazyregexp.New(`^[0-9A-Za-z]*$`)

func sids(statements []node, use Use) error {
	seen := map[string]bool{}
	for _, s := range statements {
		sid := s.member("Sid").text
		if sid != "" && seen[sid] {
			return malformed("Statement IDs (SID) in a single policy must be unique.")
		}
		if use == IdentityPolicy && !sidPattern.MatchString(sid) {
			return malformed("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
		}
		seen[sid] = true
	}
	return nil
}

// elements checks that each statement has what its use asks for; resource is
// the mistake that was found in a resource before.
func elements(statements []node, use Use, resource error) error {
	for _, s := range statements {
		if !s.lists("Action") {
			return malformed("Policy statement must contain actions.")
		}
	}
	for _, s := range statements {
		principal := s.has("Principal") || s.has("NotPrincipal")
		switch {
		case use == IdentityPolicy && principal:
			return malformed("Policy document should not specify a principal.")
		case use == ResourcePolicy && !principal:
			return malformed("Missing required field Principal")
		case !s.lists("Resource"):
			return malformed("Policy statement must contain resources.")
		}
	}
	if resource != nil {
		return resource
	}
	for _, s := range statements {
		for _, name := range [...]string{"Action", "NotAction"} {
			values, _ := s.member(name).strings()
			for _, v := range values {
				if err := actionForm(v); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// lists reports whether an element or its opposite is there with a value.
func (n node) lists(name string) bool {
	one, _ := n.member(name).strings()
	other, _ := n.member("Not" + name).strings()
	return len(one) > 0 || len(other) > 0
}

func actionForm(a string) error {
	vendor, name, found := strings.Cut(a, ":")
	switch {
	case a == "*":
		return nil
	case !found || name == "":
		return malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
	case strings.Contains(name, ":"):
		return malformed("Actions/Condition can contain only one colon.")
	case !vendorPattern.MatchString(vendor):
		return malformed("Vendor " + vendor + " is not valid")
	}
	return nil
}
