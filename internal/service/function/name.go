package function

import (
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// reference is a function as a request names it.
type reference struct {
	account, region, name string
	qualifier             string // "" means $LATEST, by the function's own policy
}

// arn gives the ARN, with the qualifier if there is one.
func (r reference) arn() string {
	if r.qualifier == "" {
		return r.function()
	}
	return r.function() + ":" + r.qualifier
}

// function gives the ARN without qualifier.
func (r reference) function() string {
	return "arn:aws:lambda:" + r.region + ":" + r.account + ":function:" + r.name
}

// functionName takes apart a name, a partial ARN or an ARN (Lambda API reference,
// "FunctionName").
var functionName = lazyregexp.New(`^(?:arn:aws[a-zA-Z-]*:lambda:([a-z]{2}[a-z-]*-\d):)?(?:(\d{12}):)?(?:function:)?([a-zA-Z0-9-_]{1,64})(?::(\$LATEST|[a-zA-Z0-9-_$]+))?$`)

// parseName reads a function's name and qualifier, without looking it up.
func (s *Service) parseName(c *wire.Call, name string, qualifier *string) (reference, error) {
	m := functionName.FindStringSubmatch(name)
	if m == nil {
		if len(name) > 64 && !strings.Contains(name, ":") {
			return reference{}, invalid("1 validation error detected: Value '" + name + "' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64")
		}
		return reference{}, invalid("Invalid function name: " + name)
	}
	r := reference{account: c.Account, region: c.Region, name: m[3], qualifier: m[4]}
	if m[2] != "" && m[2] != c.Account {
		return reference{}, wire.NewError(403, "AccessDeniedException", "User is not authorized to access the functions of account "+m[2]+".")
	}
	if m[1] != "" && m[1] != c.Region {
		return reference{}, notFound("Functions from '" + m[1] + "' are not reachable in this region ('" + c.Region + "')")
	}
	if q := wire.Value(qualifier); q != "" {
		if r.qualifier != "" && r.qualifier != q {
			return reference{}, invalid("The derived qualifier from the function name does not match the specified qualifier.")
		}
		r.qualifier = q
	}
	return r, nil
}

// isNumber says whether a qualifier is a version's number.
func isNumber(q string) bool {
	return q != "" && strings.Trim(q, "0123456789") == ""
}

func invalid(message string) error {
	return &lambdaapi.InvalidParameterValueException{Message: message, Type: wire.String("User")}
}

func notFound(message string) error {
	return &lambdaapi.ResourceNotFoundException{Message: message, Type: wire.String("User")}
}

func conflict(message string) error {
	return &lambdaapi.ResourceConflictException{Message: message, Type: wire.String("User")}
}

func precondition(message string) error {
	return &lambdaapi.PreconditionFailedException{Message: message, Type: wire.String("User")}
}

func noFunction(arn string) error { return notFound("Function not found: " + arn) }
