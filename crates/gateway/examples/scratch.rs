use mortise_framework::{Framework, config::Environment, runtime::NativeRuntime};
use mortise_gateway::{Gateway, config::{LoadOptions, Settled}};
#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().with_env_filter("info,mortise=debug").with_writer(std::io::stderr).init();
    let framework = Framework::builder().runtime(NativeRuntime::new([])).build();
    let mut options = LoadOptions::new(".", Environment::from_process());
    let file = std::env::args().nth(1).unwrap();
    if let Err(e) = options.add_file(file) { eprintln!("{}", e.render(false)); return; }
    let settled = match Settled::load(&options, &framework) { Ok(s) => s, Err(e) => { eprintln!("{}", e.render(false)); return } };
    for n in &settled.notices { eprintln!("notice: {n}"); }
    let gateway = Gateway::start(settled, framework).await.unwrap();
    eprintln!("listening on http://{}", gateway.address());
    gateway.run(async { let _ = tokio::signal::ctrl_c().await; }).await;
}
