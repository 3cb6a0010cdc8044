enum LivePage {
    static var response: AdminResponse { AdminResponse(200, "text/html; charset=utf-8", []) }
}
