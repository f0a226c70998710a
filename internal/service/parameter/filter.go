package parameter

import (
	"fmt"
	"slices"
	"strings"

	"moat/internal/wire"
	api "moat/internal/wire/ssmapi"
)

// filterKey says how a filter reads a parameter and which options it takes; the
// first option is the default.
type filterKey struct {
	options []string
	values  func(*Parameter) []string
}

func one(f func(*Parameter) string) func(*Parameter) []string {
	return func(p *Parameter) []string { return []string{f(p)} }
}

// filterOf describes the filter keys; tag:x is made on the way.
func filterOf(key string) (filterKey, bool) {
	equals, begins := []string{"Equals"}, []string{"Equals", "BeginsWith"}
	switch key {
	case "Name":
		return filterKey{[]string{"Equals", "BeginsWith", "Contains"}, one(func(p *Parameter) string { return p.Name })}, true
	case "Type":
		return filterKey{begins, one(func(p *Parameter) string { return p.Type })}, true
	case "KeyId":
		return filterKey{begins, one(func(p *Parameter) string { return p.KeyID })}, true
	case "Tier":
		return filterKey{equals, one(func(p *Parameter) string { return p.Tier })}, true
	case "DataType":
		return filterKey{begins, one(func(p *Parameter) string { return p.DataType })}, true
	case "Path":
		return filterKey{[]string{"OneLevel", "Recursive"}, one(func(p *Parameter) string { return p.Name })}, true
	case "Label":
		return filterKey{equals, func(p *Parameter) []string {
			var labels []string
			for label := range p.Labels {
				labels = append(labels, label)
			}
			return labels
		}}, true
	}
	name, ok := strings.CutPrefix(key, "tag:")
	return filterKey{equals, func(p *Parameter) []string {
		if v, ok := p.Tags[name]; ok {
			return []string{v}
		}
		return nil
	}}, ok
}

// describeFilterKeys and pathFilterKeys are the keys that an operation takes.
func describeFilterKeys() []string {
	return []string{"Path", "Name", "Type", "KeyId", "Tier", "Label", "DataType", "tag:"}
}

func pathFilterKeys() []string { return []string{"Type", "KeyId", "Label"} }

// filters compiles a list of filters, all of which a parameter must pass; it
// passes one by any of its values.
func filters(list []api.ParameterStringFilter, allowed func() []string) (func(*Parameter) bool, error) {
	tests := make([]func(*Parameter) bool, 0, len(list))
	seen := map[string]bool{}
	for _, f := range list {
		name := f.Key
		if strings.HasPrefix(name, "tag:") {
			name = "tag:"
		}
		key, ok := filterOf(f.Key)
		if !ok || !slices.Contains(allowed(), name) {
			return nil, &api.InvalidFilterKey{Message: fmt.Sprintf("The following filter key is not valid: %s. Valid filter keys include: [%s].",
				f.Key, strings.TrimSuffix(strings.Join(allowed(), ", "), ", tag:"))}
		}
		if seen[f.Key] {
			return nil, &api.InvalidFilterKey{Message: "The following filter is duplicated in the request: " + f.Key + ". A request can contain only one occurrence of a specific filter."}
		}
		seen[f.Key] = true
		test, err := compileFilter(f, key)
		if err != nil {
			return nil, err
		}
		tests = append(tests, test)
	}
	return func(p *Parameter) bool {
		return !slices.ContainsFunc(tests, func(test func(*Parameter) bool) bool { return !test(p) })
	}, nil
}

func compileFilter(f api.ParameterStringFilter, key filterKey) (func(*Parameter) bool, error) {
	option := wire.Value(f.Option)
	if option == "" {
		option = key.options[0]
	}
	if !slices.Contains(key.options, option) {
		return nil, &api.InvalidFilterOption{Message: fmt.Sprintf("The following filter option is not valid: %s. Valid options include: [%s].", option, strings.Join(key.options, ", "))}
	}
	if len(f.Values) == 0 && !strings.HasPrefix(f.Key, "tag:") {
		return nil, &api.InvalidFilterValue{Message: "The following filter values are missing: null for filter key " + f.Key}
	}
	if len(f.Values) > 50 {
		return nil, &api.InvalidFilterValue{Message: "A filter can have at most 50 values: " + f.Key}
	}
	if f.Key == "Path" {
		for _, v := range f.Values {
			if err := checkPath(v); err != nil {
				return nil, err
			}
		}
	}
	return func(p *Parameter) bool {
		have := key.values(p)
		if len(f.Values) == 0 { // any value of a tag
			return len(have) > 0
		}
		return slices.ContainsFunc(have, func(h string) bool {
			return slices.ContainsFunc(f.Values, func(want string) bool { return matches(h, want, option) })
		})
	}, nil
}

func matches(have, want, option string) bool {
	switch option {
	case "BeginsWith":
		return strings.HasPrefix(have, want)
	case "Contains":
		return strings.Contains(have, want)
	case "OneLevel", "Recursive":
		return below(have, strings.TrimSuffix(want, "/"), option == "Recursive")
	}
	return have == want
}
