package wire

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"moat/internal/pure/policy"
)

// RequestKeys are the global condition keys that a call itself has. A service that decides by
// itself adds its own to them; the result is the asker's. Keys of the caller are not among them: the decision takes those from the
// [policy.Principal].
func RequestKeys(c *Call) policy.Context {
	via := c.Via
	if c.ByServiceRole {
		via = ""
	}
	keys := policy.Context{
		"aws:currenttime":     {c.Time.UTC().Format(time.RFC3339)},
		"aws:epochtime":       {strconv.FormatInt(c.Time.Unix(), 10)},
		"aws:securetransport": {strconv.FormatBool(c.Secure)},
		"aws:requestedregion": {c.Region},
		"aws:viaawsservice":   {strconv.FormatBool(via != "")},
	}
	for k, v := range map[string]string{"aws:sourceip": c.SourceIP, "aws:useragent": c.UserAgent, "aws:referer": c.Referer} {
		if v != "" {
			keys[k] = []string{v}
		}
	}
	if via != "" {
		by := []string{via}
		keys["aws:calledvia"], keys["aws:calledviafirst"], keys["aws:calledvialast"] = by, by, by
	}
	return keys
}

// RequestTags adds the keys of tags that a request brings: aws:RequestTag and aws:TagKeys.
// Tags whose names differ in letter case alone share a condition key, which then has
// the values of both.
func RequestTags(keys policy.Context, tags map[string]string) {
	for k, v := range tags {
		keys.Add("aws:RequestTag/"+k, v)
	}
	TagKeys(keys, slices.Sorted(maps.Keys(tags))...)
}

// TagKeys adds the key that lists the tags which a request sets or removes.
func TagKeys(keys policy.Context, names ...string) { keys.Set("aws:TagKeys", names...) }

// ResourceTags adds the keys of tags that a resource has: aws:ResourceTag.
func ResourceTags(keys policy.Context, tags map[string]string) {
	for k, v := range tags {
		keys.Add("aws:ResourceTag/"+k, v)
	}
}

// PassRole is the need to give a role to a service, for a resource when that is an ARN
// (IAM user guide, "Grant a user permissions to pass a role to an AWS service").
func PassRole(roleARN, service, resource string) Need {
	keys := policy.Context{"iam:passedtoservice": {service}}
	if strings.HasPrefix(resource, "arn:") {
		keys["iam:associatedresourcearn"] = []string{resource}
	}
	return Need{Action: "iam:PassRole", Resource: roleARN, Keys: keys}
}

// Member returns a member of an input by its Go name, a string or what points to one; "" when
// there is none. APIs name the same thing alike throughout.
func Member(in any, member string) string {
	v := reflect.Indirect(reflect.ValueOf(in))
	if v.Kind() != reflect.Struct {
		return ""
	}
	f := reflect.Indirect(v.FieldByName(member))
	if !f.IsValid() || f.Kind() != reflect.String {
		return ""
	}
	return f.String()
}

// mustList panics in strict mode when a call names an action or brings a condition key
// that the table does not list for its operation: policies could not rely on it.
func (x *exchange) mustList(needs []Need) {
	for _, n := range needs {
		if n.Action != "" && !slices.Contains(x.op.Also, n.Action) {
			panic(strictFailure(fmt.Sprintf("%s asks for %s, which its table does not list", x.op.Name, n.Action)))
		}
		for k := range n.Keys {
			if n.Action == "" && k[0] != 0 && !x.op.Lists(k) { // NUL begins what no policy can name
				panic(strictFailure(fmt.Sprintf("%s brings the condition key %s, which its table does not list", x.op.Name, k)))
			}
		}
	}
}

// Lists tells whether a condition key is one of the operation's. Letter case does not
// matter; a key for any tag lists all tags.
func (op *Operation) Lists(key string) bool {
	for _, k := range op.Keys {
		if prefix, _, tags := strings.Cut(k, "${"); tags && len(key) > len(prefix) && strings.EqualFold(key[:len(prefix)], prefix) || strings.EqualFold(k, key) {
			return true
		}
	}
	return false
}

// Fits tells whether a resource is of one of the operation's patterns, in which ${X} stands
// for one part of an ARN or more. Where there is none, only "*" fits.
func (op *Operation) Fits(resource string) bool {
	for _, pattern := range op.On {
		if fits(pattern, resource) {
			return true
		}
	}
	return len(op.On) == 0 && resource == "*"
}

// fits matches text against a pattern whose variables stand for at least one byte.
func fits(pattern, text string) bool {
	literal, rest, variable := strings.Cut(pattern, "${")
	if !strings.HasPrefix(text, literal) {
		return false
	}
	if !variable {
		return text == literal
	}
	_, rest, _ = strings.Cut(rest, "}")
	for i := len(literal) + 1; i <= len(text); i++ {
		if fits(rest, text[i:]) {
			return true
		}
	}
	return false
}
