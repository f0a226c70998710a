package stack

import "moat/internal/service/stack/template"

// LocalFolder is a folder with a function's code that a template names by path.
type LocalFolder struct {
	LogicalID string
	Path      string // as the template has it, relative to the template's folder
	Build     BuildMethod
}

// LocalFolders lists the local folders with code of a template, for who deploys it to a
// Moat that does not see them. file names the template in messages.
func LocalFolders(body []byte, file string) ([]LocalFolder, error) {
	root, err := template.ParseValue(body, file)
	if err != nil {
		return nil, err
	}
	global := root.At("Globals", "Function", "Architectures")
	var out []LocalFolder
	each(root, func(id string, v *template.Value, _ string, resource *template.Value) {
		out = append(out, LocalFolder{LogicalID: id, Path: v.Text, Build: buildMethod(id, resource, global)})
	})
	return out, nil
}
