package gateway

import "strings"

// validate holds the request to what the method declares: first its parameters, then its
// body, which from here on is not compressed.
func validate(x *Exchange) error {
	if err := validateParameters(x); err != nil {
		return err
	}
	if err := x.inflate(); err != nil {
		return err
	}
	return validateBody(x)
}

// validateParameters checks that the required parameters are there and not empty.
func validateParameters(x *Exchange) error {
	if len(x.route.required) == 0 {
		return nil
	}
	var missing []string
	for _, p := range x.route.required {
		value := ""
		switch p.where {
		case "path":
			value, _ = x.param(p.name)
		case "querystring":
			value, _ = x.queryValue(p.name)
		case "header":
			if value = x.get(p.name); strings.EqualFold(p.name, "Host") {
				value = x.Host
			}
		}
		if value == "" {
			missing = append(missing, p.name)
		}
	}
	if missing == nil {
		return nil
	}
	sentence := "Missing required request parameters: [" + strings.Join(missing, ", ") + "]"
	return &Refusal{Kind: BadRequestParameters, Message: sentence, Validation: sentence, Grounds: "the request validator of " + x.route.name}
}
