package sam

import (
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/service/stack/template"
)

var subName = lazyregexp.New(`\$\{([A-Za-z0-9]+)\.([A-Za-z]+)((?:\.[A-Za-z0-9]+)*)\}`)

// resolveRefs rewrites references to what a serverless resource became:
// {"Ref": "Api.Stage"} to {"Ref": "ApiProdStage"}, and the same in GetAtt and Sub.
func (tr *transform) resolveRefs() {
	for _, section := range tr.root.Fields {
		if section.Key != "Parameters" && section.Key != "Metadata" {
			tr.rewrite(section.Value)
		}
	}
}

func (tr *transform) rewrite(v *template.Value) {
	if v == nil {
		return
	}
	for _, x := range v.Elements() {
		tr.rewrite(x)
	}
	name, arg, ok := v.Intrinsic()
	switch {
	case ok && name == "Ref" && arg.Is(template.String):
		if to, found := tr.generated(arg.Text); found {
			arg.Text = to
		}
	case ok && name == "Fn::GetAtt" && arg.Is(template.List) && len(arg.Items) == 2:
		whole := arg.Items[0].Str() + "." + arg.Items[1].Str()
		if i := strings.LastIndex(whole, "."); i > 0 {
			if to, found := tr.generated(whole[:i]); found {
				arg.Items[0].Text, arg.Items[1].Text = to, whole[i+1:]
			}
		}
	case ok && name == "Fn::Sub":
		body := arg
		if arg.Is(template.List) && len(arg.Items) > 0 {
			body = arg.Items[0]
		}
		if body.Is(template.String) {
			body.Text = subName.ReplaceAllStringFunc(body.Text, func(m string) string {
				p := subName.FindStringSubmatch(m)
				if to, found := tr.generated(p[1] + "." + p[2]); found {
					return "${" + to + p[3] + "}"
				}
				return m
			})
		}
	}
	for _, f := range v.Entries() {
		tr.rewrite(f.Value)
	}
}

func (tr *transform) generated(name string) (string, bool) {
	id, property, ok := strings.Cut(name, ".")
	if !ok {
		return "", false
	}
	to, found := tr.refs[id][property]
	return to, found
}
