package gateway

// integrate asks the route's integration for the answer.
func integrate(x *Exchange) error {
	x.integrated = true
	began := x.g.cfg.Now()
	err := x.route.serve.serve(x)
	x.integration = x.g.cfg.Now().Sub(began)
	if err == nil {
		x.encodeAnswer()
	}
	if err == nil && x.endpoint.status == 0 { // it is passed on as it came
		x.endpoint.status, x.endpoint.service = x.reply.status, x.reply.status
	}
	return err
}

// keep takes a field of an integration's answer on: dropped, remapped or as it is.
func (x *Exchange) keep(name, value string) {
	lower := alias(name)
	switch {
	case dropped(lower):
	case remapped(lower):
		x.reply.fields = append(x.reply.fields, Field{"x-amzn-Remapped-" + name, value})
	default:
		x.reply.fields = append(x.reply.fields, Field{name, value})
	}
}
