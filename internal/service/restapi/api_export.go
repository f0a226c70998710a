package restapi

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"moat/internal/service/restapi/document"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// staged is what a stage serves: the deployed definition, and the documentation that the stage names.
type staged struct {
	stage      stage
	definition definition
	docs       *documentation
}

func (s *Service) staged(ctx context.Context, api, name string) (staged, error) {
	var out staged
	p := s.place(ctx)
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		if out.stage, err = s.stage(tx, p, api, name); err != nil {
			return err
		}
		d, err := s.tables.deployments.Get(tx, p.key(api, wire.Value(out.stage.Stage.DeploymentId))...)
		if errors.Is(err, store.ErrNotFound) {
			return badRequest("Invalid deployment identifier specified")
		}
		if err != nil {
			return err
		}
		out.definition, out.docs = d.Definition, nil
		if v := wire.Value(out.stage.Stage.DocumentationVersion); v != "" {
			docs, err := s.tables.documentation.Get(tx, p.key(api, v)...)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if err == nil {
				out.docs = &docs
			}
		}
		return nil
	})
	return out, err
}

// address is where an API is reached: the scheme and port of this Moat's own address, at the API's host.
func (s *Service) address(d *definition) (scheme, host string) {
	u, err := url.Parse(s.cfg.BaseURL)
	if err != nil || u.Host == "" {
		u = &url.URL{Scheme: "https"}
	}
	domain := s.cfg.Domain
	if domain == "" {
		domain = "localhost"
	}
	host = fmt.Sprintf("%s.execute-api.%s.%s", d.ID, d.Region, domain)
	if port := u.Port(); port != "" && !strings.Contains(domain, ":") {
		host += ":" + port
	}
	return u.Scheme, host
}

// GetExport writes what a stage serves as an OpenAPI 3.0 or Swagger 2.0 document.
func (s *Service) GetExport(ctx context.Context, in *apigatewayapi.GetExportRequest) (*apigatewayapi.ExportResponse, error) {
	if in.ExportType != "oas30" && in.ExportType != "swagger" {
		return nil, badRequest("Invalid export type '%s'. Valid options are oas30 and swagger", in.ExportType)
	}
	e := exporter{swagger: in.ExportType == "swagger"}
	for name, value := range in.Parameters {
		if name != "extensions" {
			return nil, badRequest("Invalid export parameter '%s'", name)
		}
		for _, x := range strings.Split(value, ",") {
			switch strings.TrimSpace(x) {
			case "integrations":
				e.integrations = true
			case "authorizers":
				e.authorizers = true
			case "apigateway":
				e.integrations, e.authorizers, e.all = true, true, true
			case "documentation":
				e.documented = true
			case "postman":
				return nil, notBuilt("GetExport", "extensions for Postman are not built")
			case "":
			default:
				return nil, badRequest("Invalid export extension '%s'", x)
			}
		}
	}
	at, err := s.staged(ctx, in.RestApiId, in.StageName)
	if err != nil {
		return nil, err
	}
	e.d, e.docs, e.basePath = &at.definition, at.docs, "/"+at.stage.Name
	e.scheme, e.host = s.address(e.d)
	out := &apigatewayapi.ExportResponse{ContentType: wire.String("application/octet-stream")}
	kind := "json"
	if strings.Contains(strings.ToLower(wire.Value(in.Accepts)), "yaml") {
		kind = "yaml"
		out.Body = document.YAML(e.document())
	} else {
		out.Body = document.Pretty(e.document())
	}
	out.ContentDisposition = wire.String(s.attachment(in.ExportType, kind))
	return out, nil
}

// attachment names a file as API Gateway's answers do.
func (s *Service) attachment(what, kind string) string {
	return fmt.Sprintf(`attachment; filename="%s_%s.%s"`, what, s.now().Format("2006-01-02_15-04Z"), kind)
}
