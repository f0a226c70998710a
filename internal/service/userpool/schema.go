package userpool

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"moat/internal/pure/lazyregexp"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

const (
	customPrefix = "custom:"

	// maxAttributeLength is how long an attribute's value can be (Cognito quotas).
	maxAttributeLength = 2048
)

// standardSchema is what every pool starts with (the OpenID Connect standard claims).
func standardSchema() []api.SchemaAttributeType {
	text := func(name, low, high string) api.SchemaAttributeType {
		return api.SchemaAttributeType{
			Name: &name, AttributeDataType: api.AttributeDataTypeString,
			DeveloperOnlyAttribute: wire.Bool(false), Mutable: wire.Bool(true), Required: wire.Bool(false),
			StringAttributeConstraints: &api.StringAttributeConstraintsType{MinLength: &low, MaxLength: &high},
		}
	}
	other := func(name string, t api.AttributeDataType) api.SchemaAttributeType {
		return api.SchemaAttributeType{
			Name: &name, AttributeDataType: t,
			DeveloperOnlyAttribute: wire.Bool(false), Mutable: wire.Bool(true), Required: wire.Bool(false),
		}
	}
	sub := text("sub", "1", "2048")
	sub.Mutable, sub.Required = wire.Bool(false), wire.Bool(true)
	updated := other("updated_at", api.AttributeDataTypeNumber)
	updated.NumberAttributeConstraints = &api.NumberAttributeConstraintsType{MinValue: wire.String("0")}
	out := []api.SchemaAttributeType{sub}
	for _, name := range []string{"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website", "email"} {
		out = append(out, text(name, "0", "2048"))
	}
	return append(out,
		other("email_verified", api.AttributeDataTypeBoolean),
		text("gender", "0", "2048"), text("birthdate", "10", "10"), text("zoneinfo", "0", "2048"), text("locale", "0", "2048"),
		text("phone_number", "0", "2048"), other("phone_number_verified", api.AttributeDataTypeBoolean),
		text("address", "0", "2048"), updated,
	)
}

// newSchema merges what CreateUserPool asks for into the standard attributes.
func newSchema(asked []api.SchemaAttributeType) ([]api.SchemaAttributeType, error) {
	out := standardSchema()
	for _, a := range asked {
		name := deref(a.Name)
		if name == "" {
			return nil, refuse(invalidParameter, "1 validation error detected: Value null at 'schema.member.name' failed to satisfy constraint: Member must not be null")
		}
		i := slices.IndexFunc(out, func(b api.SchemaAttributeType) bool { return *b.Name == name })
		if i < 0 || strings.HasSuffix(name, "_verified") { // verdicts are built in; one of that name is another attribute
			c, err := customAttribute(a)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(out, func(b api.SchemaAttributeType) bool { return *b.Name == *c.Name }) {
				return nil, refuse(invalidParameter, fmt.Sprintf("%s: Existing attribute already has name %s.", *c.Name, *c.Name))
			}
			out = append(out, c)
			continue
		}
		if err := adjust(&out[i], a); err != nil {
			return nil, err
		}
	}
	if len(out) > len(standardSchema())+50 {
		return nil, refuse(invalidParameter, "The number of custom attributes exceeds the limit of 50.")
	}
	return out, nil
}

// adjust changes a standard attribute as far as a pool may.
func adjust(to *api.SchemaAttributeType, a api.SchemaAttributeType) error {
	name := *to.Name
	if a.AttributeDataType != "" && a.AttributeDataType != to.AttributeDataType {
		return refuse(invalidParameter, fmt.Sprintf("You can not change AttributeDataType or set developerOnlyAttribute for standard schema attribute %s", name))
	}
	if wire.Value(a.DeveloperOnlyAttribute) {
		return refuse(invalidParameter, fmt.Sprintf("You can not change AttributeDataType or set developerOnlyAttribute for standard schema attribute %s", name))
	}
	if name == "sub" {
		return nil
	}
	if a.Required != nil {
		to.Required = a.Required
	}
	if a.Mutable != nil {
		to.Mutable = a.Mutable
	}
	if a.StringAttributeConstraints != nil && to.StringAttributeConstraints != nil {
		merged := *to.StringAttributeConstraints
		if a.StringAttributeConstraints.MinLength != nil {
			merged.MinLength = a.StringAttributeConstraints.MinLength
		}
		if a.StringAttributeConstraints.MaxLength != nil {
			merged.MaxLength = a.StringAttributeConstraints.MaxLength
		}
		to.StringAttributeConstraints = &merged
	}
	if a.NumberAttributeConstraints != nil && to.AttributeDataType == api.AttributeDataTypeNumber {
		to.NumberAttributeConstraints = a.NumberAttributeConstraints
	}
	return checkConstraints(*to)
}

// customAttribute completes the definition of a custom attribute.
func customAttribute(a api.SchemaAttributeType) (api.SchemaAttributeType, error) {
	bare := strings.TrimPrefix(deref(a.Name), customPrefix)
	name := customPrefix + bare
	switch {
	case bare == "":
		return a, refuse(invalidParameter, "An attribute needs a name.")
	case wire.Value(a.Required):
		return a, refuse(invalidParameter, "Required custom attributes are not supported currently.")
	case wire.Value(a.DeveloperOnlyAttribute):
		name = "dev:" + name
	}
	a.Name = &name
	if a.AttributeDataType == "" {
		a.AttributeDataType = api.AttributeDataTypeString
	}
	a.Required = wire.Bool(false)
	a.DeveloperOnlyAttribute = wire.Bool(wire.Value(a.DeveloperOnlyAttribute))
	a.Mutable = wire.Bool(wire.Value(a.Mutable))
	if a.AttributeDataType == api.AttributeDataTypeString && a.StringAttributeConstraints == nil {
		a.StringAttributeConstraints = &api.StringAttributeConstraintsType{}
	}
	if a.AttributeDataType == api.AttributeDataTypeNumber && a.NumberAttributeConstraints == nil {
		a.NumberAttributeConstraints = &api.NumberAttributeConstraintsType{}
	}
	return a, checkConstraints(a)
}

func checkConstraints(a api.SchemaAttributeType) error {
	wrong := func() error {
		return refuse(invalidParameter, fmt.Sprintf("Invalid constraints for attribute %s.", *a.Name))
	}
	var low, high *string
	if c := a.StringAttributeConstraints; c != nil {
		low, high = c.MinLength, c.MaxLength
	}
	if c := a.NumberAttributeConstraints; c != nil {
		low, high = c.MinValue, c.MaxValue
	}
	lowest, err := parseBound(low)
	if err != nil {
		return wrong()
	}
	highest, err := parseBound(high)
	if err != nil || (lowest != nil && highest != nil && *lowest > *highest) {
		return wrong()
	}
	if a.AttributeDataType == api.AttributeDataTypeString {
		for _, b := range []*int64{lowest, highest} {
			if b != nil && (*b < 0 || *b > maxAttributeLength) {
				return wrong()
			}
		}
	}
	return nil
}

func parseBound(s *string) (*int64, error) {
	if s == nil || *s == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(*s, 10, 64)
	return &n, err
}

// attribute finds the definition of an attribute.
func (p *Pool) attribute(name string) (api.SchemaAttributeType, bool) {
	for _, a := range p.Schema {
		if *a.Name == name {
			return a, true
		}
	}
	return api.SchemaAttributeType{}, false
}

var (
	emailShape = lazyregexp.New(`^[\p{L}\p{M}\p{S}\p{N}\p{P}]+@[\p{L}\p{M}\p{S}\p{N}\p{P}]+$`)
	phoneShape = lazyregexp.New(`^\+[1-9][0-9]{1,14}$`)
)

func isEmail(s string) bool {
	name, host, _ := strings.Cut(s, "@")
	return len(s) <= 320 && emailShape.MatchString(s) && name != "" && host != "" && !strings.Contains(host, "@")
}

func isPhone(s string) bool { return phoneShape.MatchString(s) }

// conformity are the words in which a pool refuses the attributes of a new user.
const conformity = "Attributes did not conform to the schema: "

// notInSchema is what is said of an attribute that a pool does not have.
const notInSchema = "Attribute does not exist in the schema."

// checkNew compares the attributes of a new user with their definitions. All that is
// wrong is told at once, a line for each.
func (p *Pool) checkNew(attributes map[string]string, complete bool) error {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		why, err := p.valueFault(name, attributes[name])
		if err != nil {
			return err
		}
		if why != "" {
			lines = append(lines, name+": "+why)
		}
	}
	if complete {
		lines = append(lines, p.lacking(attributes)...)
	}
	return told(conformity, lines)
}

// lacking has a line for each required attribute that is not there.
func (p *Pool) lacking(attributes map[string]string) (lines []string) {
	for _, name := range p.required() {
		if attributes[name] == "" {
			lines = append(lines, name+": The attribute is required")
		}
	}
	return lines
}

// told makes one refusal of many lines; none is no refusal.
func told(prefix string, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	return refuse(invalidParameter, prefix+strings.Join(lines, "\n")+"\n")
}

// valueFault says what is wrong with a value: a line about the attribute, or a
// sentence of its own as err.
func (p *Pool) valueFault(name, value string) (why string, err error) {
	a, ok := p.attribute(name)
	if !ok {
		return notInSchema, nil
	}
	if !utf8.ValidString(value) || strings.IndexByte(value, 0) >= 0 {
		return "String holds a character that is not allowed", nil
	}
	switch name {
	case "email":
		if !isEmail(value) {
			return "", refuse(invalidParameter, "Invalid email address format.")
		}
	case "phone_number":
		if !isPhone(value) {
			return "", refuse(invalidParameter, "Invalid phone number format.")
		}
	case "preferred_username":
		if format := p.likeAddress(value); format != "" && slices.Contains(p.AliasAttributes, name) {
			return "", refuse(invalidParameter, "Preferred username cannot be of "+format+" format, since user pool is configured for "+format+" alias.")
		}
	}
	switch a.AttributeDataType {
	case api.AttributeDataTypeNumber:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return "Number must be a whole number", nil
		}
		if c := a.NumberAttributeConstraints; c != nil {
			return boundFault(n, c.MinValue, c.MaxValue, "Number must be no less than %d", "Number must be no more than %d"), nil
		}
	case api.AttributeDataTypeBoolean:
		if value != "true" && value != "false" {
			return "Boolean must be either true or false", nil
		}
	case api.AttributeDataTypeDateTime:
		if _, err := time.Parse(time.RFC3339, value); err != nil {
			return "DateTime must be in the format of RFC 3339", nil
		}
	default:
		low, high := (*string)(nil), wire.String(strconv.Itoa(maxAttributeLength))
		if c := a.StringAttributeConstraints; c != nil {
			low = c.MinLength
			if c.MaxLength != nil {
				high = c.MaxLength
			}
		}
		return boundFault(int64(utf8.RuneCountInString(value)), low, high, "String must be no shorter than %d characters", "String must be no longer than %d characters"), nil
	}
	return "", nil
}

func boundFault(n int64, low, high *string, under, over string) string {
	if b, err := parseBound(low); err == nil && b != nil && n < *b {
		return fmt.Sprintf(under, *b)
	}
	if b, err := parseBound(high); err == nil && b != nil && n > *b {
		return fmt.Sprintf(over, *b)
	}
	return ""
}

// required lists the required attributes but sub, which the pool gives itself.
func (p *Pool) required() []string {
	var out []string
	for _, a := range p.Schema {
		if *a.Name != "sub" && wire.Value(a.Required) {
			out = append(out, *a.Name)
		}
	}
	return out
}

// attributeMap turns the wire's list into a map; a name given twice is refused.
func attributeMap(list []api.AttributeType) (map[string]string, error) {
	out := make(map[string]string, len(list))
	for _, a := range list {
		if _, twice := out[a.Name]; twice {
			return nil, refuse(invalidParameter, "Duplicate attributes are not allowed.")
		}
		out[a.Name] = deref(a.Value)
	}
	return out, nil
}
