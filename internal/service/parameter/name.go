package parameter

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"moat/internal/pure/arn"
	"moat/internal/pure/lazyregexp"
	"moat/internal/wire"
	api "moat/internal/wire/ssmapi"
)

const (
	maxLevels = 15
	// maxName is the longest name. AWS counts the ARN, of at most 1,011
	// characters, which leaves about this many for the name.
	maxName = 1011
)

var (
	namePattern  = lazyregexp.New(`^[a-zA-Z0-9_.\-/]+$`)
	labelPattern = lazyregexp.New(`^[a-zA-Z_.\-][a-zA-Z0-9_.\-]*$`)
)

func invalid(format string, args ...any) error {
	return wire.NewError(http.StatusBadRequest, "ValidationException", fmt.Sprintf(format, args...))
}

// checkName says whether a parameter may be created under a name
// (docs.aws.amazon.com, PutParameter, Name).
func checkName(name string) error {
	bare := strings.ToLower(strings.TrimPrefix(name, "/"))
	path := strings.Contains(strings.TrimPrefix(name, "/"), "/")
	switch {
	case path && strings.HasPrefix(bare, "aws"):
		return wire.NewError(http.StatusBadRequest, "AccessDeniedException",
			fmt.Sprintf("No access to reserved parameter name: %s.", strings.TrimPrefix(name, "/")))
	case !path && (strings.HasPrefix(bare, "aws") || strings.HasPrefix(bare, "ssm")):
		return invalid(`Parameter name: can't be prefixed with "aws" or "ssm" (case-insensitive).`)
	case strings.HasPrefix(bare, "ssm"), !namePattern.MatchString(name), strings.HasSuffix(name, "/"), strings.Contains(name, "//"):
		return invalid(`Parameter name: can't be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_`)
	case len(name) > maxName:
		return invalid("Parameter name must not be longer than %d characters.", maxName)
	case strings.Count(strings.TrimPrefix(name, "/"), "/") >= maxLevels:
		return &api.HierarchyLevelLimitExceededException{Message: fmt.Sprintf("A hierarchy can have a maximum of %d levels.", maxLevels)}
	}
	return qualified(name)
}

func qualified(name string) error {
	if strings.Contains(name, "/") && name[0] != '/' {
		return invalid("Parameter name must be a fully qualified name.")
	}
	return nil
}

// checkPath says whether a hierarchy may be asked for.
func checkPath(path string) error {
	if path == "/" {
		return nil
	}
	bare := strings.ToLower(strings.TrimPrefix(path, "/"))
	if !strings.HasPrefix(path, "/") || !namePattern.MatchString(path) || strings.Contains(path, "//") ||
		strings.HasPrefix(bare, "aws") || strings.HasPrefix(bare, "ssm") {
		return invalid(`The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash "/". It can't be prefixed with "aws" or "ssm" (case-insensitive). It must use only letters, numbers, or the following symbols: . (period), - (hyphen), _ (underscore). Special characters are not allowed. All sub-paths, if specified, must use the forward slash symbol "/". Valid example: /get/parameters2-/by1./path0_.`)
	}
	return nil
}

// reference is how a request names a parameter: by name or ARN, with a version
// or a label behind a colon, or neither.
type reference struct {
	name     string
	selector string // with its colon, as it was given
	version  int64
	label    string
	foreign  bool // an ARN of another account or region
	byARN    bool // the ARN of "x" is the ARN of "/x" too
}

// parseReference splits what a request names. Asking for a name that cannot exist
// is no error: nothing is found under it.
func (s *Service) parseReference(c *wire.Call, text string) (reference, error) {
	var r reference
	if a, err := arn.Parse(text); err == nil && a.Service == "ssm" {
		rest, ok := strings.CutPrefix(a.Resource, "parameter/")
		r.foreign = !ok || a.Account != s.account || a.Region != c.Region
		r.byARN, text = true, rest
		if name, _, _ := strings.Cut(rest, ":"); strings.Contains(name, "/") {
			text = "/" + rest
		}
	}
	name, selector, has := strings.Cut(text, ":")
	if err := qualified(name); err != nil {
		return r, err
	}
	r.name = name
	if !has {
		return r, nil
	}
	r.selector = ":" + selector
	if n, err := strconv.ParseInt(selector, 10, 64); err == nil && n > 0 {
		r.version = n
	} else {
		r.label = selector
	}
	return r, nil
}

// twin is the other name with the same ARN: "/x" of "x", "x" of "/x", and "" for a
// name of several levels.
func twin(name string) string {
	bare, slashed := strings.CutPrefix(name, "/")
	switch {
	case strings.Contains(bare, "/"):
		return ""
	case slashed:
		return bare
	}
	return "/" + name
}

func versionNotFound(selector, name string) error {
	return &api.ParameterVersionNotFound{Message: fmt.Sprintf("Systems Manager could not find version %s of %s. Verify the version and try again.", strings.TrimPrefix(selector, ":"), name)}
}
